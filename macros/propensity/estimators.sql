{#
    The propensity estimators, a line each, in the order of tables. `query` is made by the macro
    estimators__<name>, which takes of the four relations what it needs, and yields context,
    replicate, rank, propensity, n_impressions, n_clicks and last_step_change. The rest of a line:

        words          what people call it; without them, its name
        min_clicks     clicks a rank needs before its estimate counts as identified;
                       without it the curve is an assumption, and never identified
        needs_ties     whether a rank must also be tied to rank 1 by shared documents
        is_measuring   whether `auto` takes its identified ranks for measured
        alpha          the decay of a curve that assumes one; of others it is fitted to the curve
#}
{% macro estimators(ranks='ranks', cells='cells', ties='ties', versions='versions') %}
    {{ return([
        {'name': 'none', 'words': 'no correction', 'query': estimators__none(ranks), 'alpha': 0},
        {'name': 'power_law', 'words': 'power law', 'query': estimators__power_law(ranks),
            'alpha': var('propensity_alpha')},
        {'name': 'randomised', 'words': 'randomised traffic',
            'query': estimators__randomised(cells),
            'min_clicks': var('min_randomised_clicks'), 'is_measuring': true},
        {'name': 'ipf', 'words': 'IPF', 'query': estimators__ipf(ties, versions),
            'min_clicks': var('min_ipf_clicks'), 'needs_ties': true, 'is_measuring': true},
        {'name': 'fitted_power_law', 'words': 'fitted power law',
            'query': estimators__fitted_power_law(ties, versions),
            'min_clicks': 0},
    ]) }}
{% endmacro %}
