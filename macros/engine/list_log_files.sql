{#
    The files a path var stands for: a file, a glob, or a folder (searched with its subfolders,
    hidden files and folders left out). Runs only when a run starts, never while models are
    compiled.
#}
{% macro list_log_files(path) %}
    {% set root = path.rstrip('/') | replace("'", "''") %}
    {% set known = '[.](ndjson|jsonl|json|csv|parquet)([.](gz|zst))?$' %}
    {% set found = run_query(
        "select file from ("
        ~ "select file from glob('" ~ root ~ "') "
        ~ "where file = '" ~ root ~ "' or not regexp_matches(file, '(^|/)[.][^/]*$') union "
        ~ "select file from glob('" ~ root ~ "/**') "
        ~ "where regexp_matches(file, '" ~ known ~ "', 'i') "
        ~ "and not contains(substr(file, length('" ~ root ~ "') + 1), '/.')"
        ~ ") as files order by file"
    ) %}
    {{ return(found.columns[0].values() | list) }}
{% endmacro %}
