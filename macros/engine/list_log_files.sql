{#
    The files a path var stands for: a file, a glob, or a folder (searched with its subfolders).
    Runs only when a run starts, never while models are compiled.
#}
{% macro list_log_files(path) %}
    {% set quoted = path | replace("'", "''") %}
    {% set known = '[.](ndjson|jsonl|json|csv|parquet)([.](gz|zst))?$' %}
    {% set found = run_query(
        "select file from ("
        ~ "select file from glob('" ~ quoted ~ "') union "
        ~ "select file from glob('" ~ quoted ~ "/**') where regexp_matches(file, '" ~ known ~ "', 'i')"
        ~ ") as files where not regexp_matches(file, '(^|/)[.][^/]*$') order by file"
    ) %}
    {{ return(found.columns[0].values() | list) }}
{% endmacro %}
