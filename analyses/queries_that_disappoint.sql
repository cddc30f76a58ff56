-- Which queries are searched often and end in abandonment or another try?
with

searches as (

    select * from {{ ref('fct_searches') }}
    where not is_bot

),

final as (

    select
        normalized_query,
        count(*) as n_searches,
        count(distinct user_id) as n_users,
        avg(case when is_abandoned then 1.0 else 0.0 end) as abandonment_rate,
        avg(case when is_reformulated then 1.0 else 0.0 end) as reformulation_rate,
        avg(n_clicks) as clicks_per_search
    from searches
    group by normalized_query

)

select * from final
where n_searches >= 20
order by abandonment_rate + reformulation_rate desc, n_searches desc, normalized_query
limit 50
