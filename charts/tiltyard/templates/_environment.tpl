{{/* Settings of the operator; what is not said here has its own default there. */}}
{{- define "tiltyard.environment" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: TILTYARD_ENGINE_IMAGE
  value: {{ include "tiltyard.image" (list . .Values.engine.image) }}
- name: TILTYARD_ENGINE_PULL_POLICY
  value: {{ .Values.engine.image.pullPolicy }}
- name: TILTYARD_NETWORK_POLICY
  value: {{ .Values.networkPolicy.enabled | quote }}
- name: TILTYARD_MONITORING_LABELS
  value: {{ include "tiltyard.pairs" .Values.monitoring.namespaceLabels }}
{{- if eq .Values.scope "Namespace" }}
- name: TILTYARD_NAMESPACES
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: TILTYARD_{{ $name | snakecase | upper }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{- define "tiltyard.pairs" -}}
{{- $pairs := list }}
{{- range $name, $value := . }}{{ $pairs = append $pairs (printf "%s=%s" $name $value) }}{{ end }}
{{- join "," $pairs | quote }}
{{- end }}
