#!/bin/sh
# Our API server behind the flags of a kube-apiserver: those that it lacks are dropped. For a folder as KUBEBUILDER_ASSETS names one.
set -eu
here=$(dirname "$(readlink -f "$0")")
known=
while [ $# -gt 0 ]; do
  case $1 in
    --etcd-servers | --secure-port | --tls-cert-file | --tls-private-key-file | --client-ca-file) known="$known $1 $2" ;;
    --authorization-mode) [ "$2" = RBAC ] ;;
  esac
  shift 2
done
# shellcheck disable=SC2086
exec "$("$here/build.sh")/controlplane" $known
