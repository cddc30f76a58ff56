{#
    What offline metrics are ratios of (seeds/metrics.csv): sums over the searches of a user, a line
    each. `sum` is an aggregate of int_evaluation_searches__scored. Being ratios of sums is what
    lets one bootstrap serve all metrics. ips_gain is over the plain ideal, not over the weighted one:
    in a search of one click that cancels the weight, and what is left is ndcg under another name.
#}
{% macro offline_sums() %}
    {{ return([
        {'name': 'n_searches', 'sum': 'count(*)'},
        {'name': 'n_clicked_searches', 'sum': 'count(case when n_clicks > 0 then 1 end)'},
        {'name': 'n_clicks', 'sum': 'sum(n_clicks)'},
        {'name': 'ndcg', 'sum': 'coalesce(' ~ exact_sum(ratio('dcg', 'ideal_dcg')) ~ ', 0)'},
        {'name': 'dcg', 'sum': exact_sum('dcg')},
        {'name': 'reciprocal_rank', 'sum': exact_sum('reciprocal_rank')},
        {'name': 'click_weight', 'sum': exact_sum('click_weight')},
        {'name': 'squared_click_weight', 'sum': exact_sum('squared_click_weight')},
        {'name': 'ips_dcg', 'sum': exact_sum('ips_dcg')},
        {'name': 'ips_ideal_dcg', 'sum': exact_sum('ips_ideal_dcg')},
        {'name': 'ips_gain', 'sum': 'coalesce(' ~ exact_sum(ratio('ips_dcg', 'ideal_dcg')) ~ ', 0)'},
        {'name': 'ips_reciprocal_rank', 'sum': exact_sum('ips_reciprocal_rank')},
    ]) }}
{% endmacro %}
