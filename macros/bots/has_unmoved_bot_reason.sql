{#
    True where a rule spoke that a ranker has no part in: who the agent says it is, and when and how
    often it asks. The other rules look at clicks, or at pages that a bad ranker makes people turn.
#}
{% macro has_unmoved_bot_reason(bot_reasons) -%}
    (
        {%- for reason in (
            'user_agent', 'searches_per_day', 'round_the_clock', 'regular_gaps', 'repeated_query'
        ) %}
        coalesce(array_contains({{ bot_reasons }}, '{{ reason }}'), false)
        {{- ' or' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}
