{# Why a UBI document cannot be used, as far as it says so itself, if it first arrived then. #}
{% macro document_rejection(arrived_at) -%}
    case document_kind
        when 'query'
            then case
                when query_id is null then 'missing_search_id'
                when logged_at is null then 'missing_time'
                when {{ is_impossible_time('logged_at', arrived_at) }} then 'impossible_time'
                when not {{ has_text('user_query') }} then 'missing_query'
                when length(user_query) > {{ var('max_query_length') }} then 'query_too_long'
            end
        when 'event'
            then case
                when logged_at is null then 'missing_time'
                when {{ is_impossible_time('logged_at', arrived_at) }} then 'impossible_time'
                when length(user_query) > {{ var('max_query_length') }} then 'query_too_long'
                when action not in ('click', 'impression') then null
                when query_id is null then 'missing_search_id'
                when object_id is null then 'missing_document'
            end
    end
{%- endmacro %}
