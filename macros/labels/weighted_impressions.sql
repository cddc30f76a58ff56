{# The impressions between two moments of int_windows, with the active propensity of their rank. #}
{% macro weighted_impressions(impressions, windows, propensities, window_start, window_end) %}
    select
        impressions.search_id,
        impressions.doc_id,
        impressions.query,
        impressions.user_id,
        impressions.searched_at,
        impressions.rank,
        impressions.clicked,
        impressions.clicked_at,
        impressions.is_sat_click,
        impressions.is_last_click,
        impressions.is_pogo,
        impressions.is_converted,
        propensities.propensity,
        {{ ips_weight('propensities.propensity', var('ips_clip')) }} as ips_weight,
        {{ ips_label('impressions.clicked', 'propensities.propensity', var('ips_clip')) }}
            as ips_label
    from {{ impressions }} as impressions
    inner join {{ windows }} as windows
        on
            impressions.searched_at >= windows.{{ window_start }}
            and impressions.searched_at < windows.{{ window_end }}
    inner join {{ propensities }} as propensities
        on
            impressions.propensity_context = propensities.context
            and impressions.rank = propensities.rank
{% endmacro %}
