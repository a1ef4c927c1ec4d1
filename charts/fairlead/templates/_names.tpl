{{/* The name of the release's objects: its own, so that several releases may share a cluster. */}}
{{- define "fairlead.name" -}}
{{- if contains "fairlead" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-fairlead" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of two releases that watch different namespaces neither waits for the other. */}}
{{- define "fairlead.leaseName" -}}
{{ include "fairlead.name" . }}-operator
{{- end -}}

{{- define "fairlead.registryRole" -}}
{{ include "fairlead.name" . }}-registry
{{- end -}}

{{- define "fairlead.routerRole" -}}
{{ include "fairlead.name" . }}-router
{{- end -}}

{{- define "fairlead.selectorLabels" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "fairlead.labels" -}}
{{ include "fairlead.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "fairlead.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "fairlead.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name must be given when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "fairlead.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "fairlead.cudaImage" -}}
{{- $repository := default .Values.image.repository .Values.cudaImage.repository -}}
{{- if .Values.cudaImage.digest -}}
{{ $repository }}@{{ .Values.cudaImage.digest }}
{{- else -}}
{{ $repository }}:{{ default (printf "%s-cuda" (default .Chart.AppVersion .Values.image.tag)) .Values.cudaImage.tag }}
{{- end -}}
{{- end -}}
