{{- define "party.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "party.selector" -}}
app.kubernetes.io/name: tercet-party
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "party.labels" -}}
{{ include "party.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "party.config" -}}
# Written by Helm.
listen = "0.0.0.0:8080"
peer_listen = "0.0.0.0:7443"
{{- if .Values.metrics.namespace }}
metrics_listen = "0.0.0.0:9090"
{{- end }}
federation = "/etc/tercet/federation/federation.json"
surveys = "/etc/tercet/surveys"
engine = "/usr/share/tercet/party_wasm.wasm"

[keys]
identity = "/run/tercet/keys/identity.key"
sealing = "/run/tercet/keys/sealing.key"
{{- if .Values.keys.sealingPrevious }}
sealing_previous = "/run/tercet/keys/sealing.previous.key"
{{- end }}
peer = "/run/tercet/keys/peer.key"
store = "/run/tercet/keys/store.key"

[store]
bucket = {{ .Values.store.bucket | quote }}
{{- with .Values.store.prefix }}
prefix = {{ . | quote }}
{{- end }}
region = {{ .Values.store.region | quote }}
{{- with .Values.store.endpoint }}
endpoint = {{ . | quote }}
{{- end }}
cache_mib = {{ int .Values.store.cacheMiB }}
{{- range $section, $keys := .Values.settings }}

[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ if kindIs "string" $value }}{{ $value | quote }}{{ else if kindIs "float64" $value }}{{ int64 $value }}{{ else }}{{ $value }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
