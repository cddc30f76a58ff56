-- Which labels did the correction move by the most clicks?
with

labels as (

    select * from {{ ref('fct_weak_labels') }}

),

newest as (

    select max(window_end) as window_end
    from labels

),

-- clicks the log missed: what the corrected click rate adds over the raw one, in clicks
moved as (

    select
        labels.query,
        labels.doc_id,
        labels.n_impressions,
        labels.n_clicks,
        labels.naive_ctr,
        labels.ips_ctr,
        labels.label,
        (labels.ips_ctr - labels.naive_ctr) * labels.n_impressions as n_added
    from labels
    inner join newest on labels.window_end = newest.window_end
    where labels.n_clicks > 0 and labels.ips_ctr > labels.naive_ctr

),

final as (

    select * from moved

)

select * from final
order by n_added desc, query, doc_id
limit 8
