{#
    Text to naive UTC: ISO 8601 with an offset, with Z or without a zone (taken as UTC), or an
    epoch in seconds, milliseconds or microseconds, told apart by its number of digits. Null where
    the text is none of these.
#}
{% macro parse_timestamp(text) -%}
    {{ adapter.dispatch('parse_timestamp', 'eval_flywheel')(text) }}
{%- endmacro %}

{% macro default__parse_timestamp(text) -%}
    case
        when regexp_matches({{ text }}, '^[0-9]{9,10}([.][0-9]+)?$')
            then make_timestamp(cast(try_cast({{ text }} as double) * 1000000 as bigint))
        when regexp_matches({{ text }}, '^[0-9]{11,13}([.][0-9]+)?$')
            then make_timestamp(cast(try_cast({{ text }} as double) * 1000 as bigint))
        when regexp_matches({{ text }}, '^[0-9]{14,16}$')
            then make_timestamp(try_cast({{ text }} as bigint))
        else cast(try_cast({{ text }} as timestamptz) as timestamp)
    end
{%- endmacro %}
