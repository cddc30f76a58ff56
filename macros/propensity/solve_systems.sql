{#
    Symmetric systems of linear equations, each of as many unknowns as there are ranks, by conjugate
    gradients with the diagonal as preconditioner (Hestenes and Stiefel 1952; Saad 2003, algorithm
    9.1). What the equations leave open, as a move of all ranks together, stays as small as it can.
#}
{% macro solve_systems(systems) %}
    {% set steps = 200 %}
    {% set tolerance = 1e-12 %}
    {% set of_system = 'over (partition by context, replicate)' %}
    {% set energy = exact_sum('residual * residual / nullif(diagonal, 0)', of_system) %}
    with recursive equations as (
        select
            context,
            replicate,
            rank,
            max(case when other_rank = rank then term end) as diagonal,
            max(case when other_rank = 0 then term end) as residual
        from {{ systems }}
        group by context, replicate, rank
    ),

    coefficients as (
        select *
        from {{ systems }}
        where other_rank > 0
    ),

    -- the recursion ends when nothing is left of any target, or after the given steps
    solutions as (
        select
            context,
            replicate,
            rank,
            diagonal,
            0 as step,
            cast(0 as double) as solution,
            residual,
            coalesce(residual / nullif(diagonal, 0), 0) as direction,
            coalesce({{ energy }}, 0) as energy,
            coalesce({{ energy }}, 0) as first_energy,
            true as is_moving
        from equations

        union all

        select
            context,
            replicate,
            rank,
            diagonal,
            step + 1 as step,
            solution,
            residual,
            coalesce(residual / nullif(diagonal, 0), 0)
            + coalesce(energy / nullif(last_energy, 0), 0) * direction as direction,
            energy,
            first_energy,
            bool_or(energy > {{ tolerance }} * first_energy) over () as is_moving
        from (
            select
                *,
                coalesce({{ energy }}, 0) as energy
            from (
                select
                    context,
                    replicate,
                    rank,
                    diagonal,
                    step,
                    first_energy,
                    last_energy,
                    direction,
                    solution + stride * direction as solution,
                    residual - stride * image as residual
                from (
                    select
                        solutions.*,
                        solutions.energy as last_energy,
                        images.image,
                        coalesce(
                            solutions.energy / nullif(
                                {{ exact_sum(
                                    'solutions.direction * images.image',
                                    'over (partition by solutions.context, solutions.replicate)',
                                ) }},
                                0
                            ),
                            0
                        ) as stride
                    from solutions
                    inner join (
                        select
                            coefficients.context,
                            coefficients.replicate,
                            coefficients.rank,
                            {{ exact_sum('coefficients.term * solutions.direction') }} as image
                        from coefficients
                        inner join solutions
                            on
                                coefficients.context = solutions.context
                                and coefficients.replicate = solutions.replicate
                                and coefficients.other_rank = solutions.rank
                        group by
                            coefficients.context, coefficients.replicate, coefficients.rank
                    ) as images
                        on
                            solutions.context = images.context
                            and solutions.replicate = images.replicate
                            and solutions.rank = images.rank
                    where solutions.is_moving and solutions.step < {{ steps }}
                ) as strides
            ) as moved
        ) as measured
    ),

    last_steps as (
        select max(step) as step
        from solutions
    )

    select
        solutions.context,
        solutions.replicate,
        solutions.rank,
        solutions.solution
    from solutions
    inner join last_steps
        on solutions.step = last_steps.step
{% endmacro %}
