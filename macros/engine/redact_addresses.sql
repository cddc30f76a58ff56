{#
    Raw text without network addresses: whatever a key called ip holds, and what looks like an
    IPv4 or IPv6 address anywhere. Text that was no document may hold one at any place. Versions
    such as Chrome/120.0.0.0 stay, as do times, which have fewer colons.
#}
{% macro redact_addresses(text) -%}
    {{ adapter.dispatch('redact_addresses', 'eval_flywheel')(text) }}
{%- endmacro %}

{% macro default__redact_addresses(text) -%}
    regexp_replace(
        regexp_replace(
            {{ text }}, '("ip"\s*:\s*"?)[^",}]*', '\1[address]', 'g'
        ),
        '(^|[^0-9A-Za-z./:])([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){3,7})\b',
        '\1[address]', 'g'
    )
{%- endmacro %}

{% macro spark__redact_addresses(text) -%}
    regexp_replace(
        regexp_replace(
            {{ text }}, r'("ip"\s*:\s*"?)[^",}]*', '$1[address]'
        ),
        r'(^|[^0-9A-Za-z./:])([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){3,7})\b',
        '$1[address]'
    )
{%- endmacro %}
