{{ config(materialized='incremental', meta={'replaces': {'nothing': []}}) }}

with

searches as (

    select * from {{ ref('int_log_searches') }}
    where {{ is_changed('changed_inputs', ['search_key']) }}

),

events as (

    select * from {{ ref('int_log_events') }}
    where {{ is_changed('changed_inputs', ['search_key']) }}

),

patterns as (

    select * from {{ ref('bot_user_agent_patterns') }}

),

{# Matching the distinct agents is some 500 times cheaper than matching the rows. #}
-- noqa: disable=LT02
user_agents as (

    select user_agent from searches
    where user_agent is not null
    union
    select user_agent from events
    where user_agent is not null
    {% if is_incremental() -%}
        except
        select user_agent from {{ this }}
    {%- endif %}

),

{# The list's patterns, and those of this project's vars. #}
all_patterns as (

    select pattern, literal from patterns
    {% for pattern in var('bot_user_agent_patterns') -%}
    union
    select '{{ pattern | replace("'", "''") }}', cast(null as string)
    {% endfor %}

),

{# An app that people use may name the library it is built on. #}
judged_agents as (

    select user_agent from user_agents
    where not {{ matches_any_pattern('user_agent', var('human_user_agent_patterns')) }}

),

matches as (

    select
        judged_agents.user_agent,
        min(all_patterns.pattern) as matched_pattern
    from judged_agents
    inner join all_patterns
        on
            case
                when all_patterns.literal is not null
                    then contains(judged_agents.user_agent, all_patterns.literal)
                else regexp_matches(judged_agents.user_agent, all_patterns.pattern)
            end
    group by judged_agents.user_agent

),

final as (

    select
        user_agents.user_agent,
        matches.matched_pattern,
        matches.matched_pattern is not null as is_bot_user_agent
    from user_agents
    left join matches on user_agents.user_agent = matches.user_agent

)

select * from final
