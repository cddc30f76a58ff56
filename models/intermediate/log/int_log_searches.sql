{{ config(post_hook='{{ stop_without_usable_rows(this) }}') }}

-- depends_on: {{ ref('int_rows__united') }}, which says what is wrong with a log without searches

with

searches as (

    {% for format in log_formats() -%}
    select
        '{{ format }}' as source_format,
        search_key,
        search_id,
        searched_at,
        arrived_at,
        query,
        application,
        client_id,
        logged_user_id,
        logged_session_id,
        user_agent,
        ip_hash,
        device,
        variant,
        model_version,
        has_query_row
    from {{ ref('stg_' ~ format ~ '__searches') }}
    where {{ is_replaced() }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

final as (

    select
        search_key,
        search_id,
        source_format,
        application,
        {{ visitor_id('client_id', 'logged_user_id', 'logged_session_id', 'search_id') }}
            as user_id,
        logged_user_id,
        logged_session_id,
        searched_at,
        arrived_at,
        query,
        {{ normalize_query('query') }} as normalized_query,
        user_agent,
        ip_hash,
        device,
        variant,
        model_version,
        has_query_row
    from searches

)

select * from final
