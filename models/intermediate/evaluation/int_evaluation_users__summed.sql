with searches as (
    select * from {{ ref('int_evaluation_searches__scored') }}
)

select
    evaluation_id,
    side,
    model_version,
    user_id,
    cast(count(*) as bigint) as n_searches,
    cast(count(case when n_clicks > 0 then 1 end) as bigint) as n_clicked_searches,
    cast(sum(n_clicks) as bigint) as n_clicks,
    coalesce({{ exact_sum(ratio('dcg', 'ideal_dcg')) }}, 0) as ndcg,
    {{ exact_sum('dcg') }} as dcg,
    {{ exact_sum('reciprocal_rank') }} as reciprocal_rank,
    {{ exact_sum('click_weight') }} as click_weight,
    {{ exact_sum('squared_click_weight') }} as squared_click_weight,
    {{ exact_sum('ips_dcg') }} as ips_dcg,
    {{ exact_sum('ips_ideal_dcg') }} as ips_ideal_dcg,
    {#
        Divided by the plain ideal, not by the weighted one: within a search of one click the
        weighted ideal cancels the weight, and what is left is the naive metric under another name.
    #}
    coalesce({{ exact_sum(ratio('ips_dcg', 'ideal_dcg')) }}, 0) as ips_gain,
    {{ exact_sum('ips_reciprocal_rank') }} as ips_reciprocal_rank
from searches
group by evaluation_id, side, model_version, user_id
