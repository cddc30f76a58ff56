{#
    The same rows give the same text on every engine, in any order: the count and two sums of
    independent hashes per row, of 32 bits each so that no sum can overflow.
#}
{% macro order_free_fingerprint(row_text) -%}
    md5(
        cast(count(*) as string)
        {%- for salt in ['a', 'b'] %}
        || '|' || cast(
            cast(
                coalesce(
                    sum(
                        cast(
                            floor(
                                ({{ hash_fraction("'" ~ salt ~ "|' || " ~ row_text) }})
                                * 4294967296
                            ) as bigint
                        )
                    ),
                    0
                ) as bigint
            ) as string
        )
        {%- endfor %}
    )
{%- endmacro %}
