{{/* Names are fixed: one operator serves from a namespace, and its Lease is called so. */}}
{{- define "tiltyard.operator" -}}
tiltyard-operator
{{- end }}

{{/* What the operator's pods are found by; never changes. */}}
{{- define "tiltyard.selector" -}}
app.kubernetes.io/name: tiltyard-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "tiltyard.labels" -}}
{{ include "tiltyard.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: tiltyard
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Reference of an image: call with (list . .Values.image). */}}
{{- define "tiltyard.image" -}}
{{- $root := index . 0 }}
{{- with index . 1 }}
{{- if .digest -}}
{{ .repository }}{{ with .tag }}:{{ . }}{{ end }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $root.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}
