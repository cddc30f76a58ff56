{#
    The bucket, 0 to 9999, of a user in a deployment: the first eight hex digits of
    md5(salt-unit), modulo 10000 (Eppo's scheme). The serving side computes the same, so the
    warehouse can check what was served. A user is in the canary when the bucket lies below
    round(share * 10000): raising the share never moves anybody out of it.
#}
{% macro assignment_bucket(salt, unit) -%}
    {{ hex_to_bigint("substr(md5(" ~ salt ~ " || '-' || " ~ unit ~ "), 1, 8)") }} % 10000
{%- endmacro %}
