{# The only form in which an address leaves staging; null for null. #}
{% macro hash_address(ip) -%}
    md5('{{ var("address_salt") | string | replace("'", "''") }}' || '-' || {{ ip }})
{%- endmacro %}
