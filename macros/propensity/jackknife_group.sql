{# Groups of users, never of impressions: the clicks of one user are not independent. #}
{% macro jackknife_group(user_id, groups) -%}
    cast(floor({{ hash_fraction("'jackknife-' || " ~ user_id) }} * {{ groups }}) as integer) + 1
{%- endmacro %}
