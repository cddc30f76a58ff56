{# What a row of int_rows__united says, where its text was not kept. #}
{% macro row_as_json() -%}
    cast(to_json({
        'search_id': search_id,
        'action': action,
        'logged_at': logged_at,
        'query': query,
        'doc_id': doc_id,
        'ordinal': ordinal
    }) as string)
{%- endmacro %}
