{{ config(materialized='incremental', incremental_predicates=['false']) }}

with

searches as (

    select * from {{ ref('int_log_searches') }}
    where {{ is_changed_input() }}

),

events as (

    select * from {{ ref('int_log_events') }}
    where {{ is_changed_input() }}

),

patterns as (

    select * from {{ ref('bot_user_agent_patterns') }}

),

{# Matching the distinct agents is some 500 times cheaper than matching the rows. #}
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

matches as (

    select
        user_agents.user_agent,
        min(patterns.pattern) as matched_pattern
    from user_agents
    inner join patterns
        on
            case
                when patterns.literal is not null
                    then contains(user_agents.user_agent, patterns.literal)
                else regexp_matches(user_agents.user_agent, patterns.pattern)
            end
    group by user_agents.user_agent

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
