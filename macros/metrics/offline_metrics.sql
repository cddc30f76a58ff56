{#
    The offline metrics, each a ratio of two sums over searches, named as columns of
    int_evaluation_users__summed. Being ratios of sums is what lets one bootstrap serve them all.
#}
{% macro offline_metrics() %}
    {{ return([
        {'metric': 'ndcg_at_10', 'numerator': 'ndcg', 'denominator': 'n_clicked_searches'},
        {'metric': 'dcg_at_10', 'numerator': 'dcg', 'denominator': 'n_searches'},
        {'metric': 'mrr', 'numerator': 'reciprocal_rank', 'denominator': 'n_clicked_searches'},
        {'metric': 'ips_gain_at_10', 'numerator': 'ips_gain', 'denominator': 'n_clicked_searches'},
        {'metric': 'ips_dcg_at_10', 'numerator': 'ips_dcg', 'denominator': 'n_searches'},
        {'metric': 'ips_mrr', 'numerator': 'ips_reciprocal_rank', 'denominator': 'n_searches'},
        {'metric': 'snips_ndcg_at_10', 'numerator': 'ips_dcg', 'denominator': 'ips_ideal_dcg'},
        {'metric': 'snips_dcg_at_10', 'numerator': 'ips_dcg', 'denominator': 'click_weight'},
        {'metric': 'snips_mrr', 'numerator': 'ips_reciprocal_rank', 'denominator': 'click_weight'}
    ]) }}
{% endmacro %}
