{% macro behavior_sums() -%}
    cast(sum(n_impressions) as double) as n_impressions,
    {{ exact_sum('exposure') }} as exposure,
    cast(sum(n_clicks) as double) as n_clicks,
    cast(sum(n_sat_clicks) as double) as n_sat_clicks,
    max(shown_on) as last_shown_on
{%- endmacro %}
