{# Stops the run where a format is not read from a kind of file that is named. #}
{% macro refuse_kinds_of_files(declared, files) %}
    {% set names = {'ndjson': 'NDJSON', 'csv': 'CSV', 'parquet': 'Parquet'} %}
    {% for kind, found in files.items() if found and kind not in declared.files %}
        {% set known = [] %}
        {% for kind in declared.files %}
            {% do known.append(names[kind]) %}
        {% endfor %}
        {{ exceptions.raise_compiler_error(
            declared.vars | join(' and ') ~ (' name a ' if declared.vars | length > 1 else ' names a ')
            ~ names[kind] ~ ' file (' ~ found[0] ~ '); ' ~ declared.noun ~ ' is read from '
            ~ known | join(' or ') ~ '.'
        ) }}
    {% endfor %}
{% endmacro %}
