{#
    True for rows of people who were forgotten: rows that name them, rows of their searches, and
    rows whose whole text was forgotten because no field of it could be read. The list holds hashes
    only. An empty list has no salt, and a hash with a null is null: it then costs nothing.
#}
{% macro is_forgotten(identities, search_id, text) -%}
    {%- set forgotten = source('flywheel_state', 'forgotten_visitors') -%}
    {%- set salt = '(select min(salt) from ' ~ forgotten ~ ')' -%}
    coalesce(
        md5({{ salt }} || '-' || {{ search_id }}) in (
            select id_hash from {{ forgotten }} where kind = 'search'
        ), false
    )
    or coalesce(
        md5({{ salt }} || '-' || {{ text }}) in (
            select id_hash from {{ forgotten }} where kind = 'text'
        ), false
    )
    {%- for identity in identities %}
    or coalesce(
        md5({{ salt }} || '-' || {{ identity }}) in (
            select id_hash from {{ forgotten }} where kind = 'visitor'
        ), false
    )
    {%- endfor %}
{%- endmacro %}
