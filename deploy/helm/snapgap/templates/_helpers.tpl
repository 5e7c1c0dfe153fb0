{{- define "snapgap.name" -}}{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}{{- end }}
{{- define "snapgap.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "snapgap.name" .) .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name (include "snapgap.name" .) | trunc 63 | trimSuffix "-" }}{{- end }}
{{- end }}
{{- define "snapgap.selector" -}}
app.kubernetes.io/name: {{ include "snapgap.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "snapgap.labels" -}}
{{ include "snapgap.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: daemon
app.kubernetes.io/part-of: snapgap
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- define "snapgap.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "snapgap.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}
{{- define "snapgap.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}
{{- define "snapgap.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $web := default dict $config.web }}
{{- $_ := set $web "listen" (printf "[::]:%d" (int .Values.service.port)) }}
{{- if .Values.auth.existingSecret }}{{ $_ := set $web "token_file" "/etc/snapgap/auth/token" }}{{ end }}
{{- if .Values.tls.existingSecret }}{{ $_ := set $web "tls_cert_file" "/etc/snapgap/tls/tls.crt" }}{{ $_ := set $web "tls_key_file" "/etc/snapgap/tls/tls.key" }}{{ end }}
{{- $_ := set $config "web" $web }}
{{- $_ := set $config "cache_dir" "/var/cache/snapgap" }}
{{- $_ := set $config "state_file" "/var/lib/snapgap/state.json" }}
{{- if .Values.rbac.dryRun }}{{ $cluster := default dict $config.cluster }}{{ $_ := set $cluster "confirm" "server" }}{{ $_ := set $config "cluster" $cluster }}{{ end }}
{{- if .Values.rbac.secrets }}{{ $cluster := default dict $config.cluster }}{{ $_ := set $cluster "secrets" true }}{{ $_ := set $config "cluster" $cluster }}{{ end }}
{{- toYaml $config }}
{{- end }}
