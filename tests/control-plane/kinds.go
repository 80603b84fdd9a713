package main

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/utils/ptr"
)

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)

	// The built-in kinds, by group: what an agent and its controller read and write, what installs them, and what RBAC and admission need.
	groups = []struct {
		version   schema.GroupVersion
		install   func(*runtime.Scheme) error
		resources []resource
	}{
		{corev1.SchemeGroupVersion, corev1.AddToScheme, []resource{
			{"namespaces", "namespace", "ns", false, &corev1.Namespace{}, &corev1.NamespaceList{}},
			{"nodes", "node", "no", false, &corev1.Node{}, &corev1.NodeList{}},
			{"secrets", "secret", "", true, &corev1.Secret{}, &corev1.SecretList{}},
			{"configmaps", "configmap", "cm", true, &corev1.ConfigMap{}, &corev1.ConfigMapList{}},
			{"serviceaccounts", "serviceaccount", "sa", true, &corev1.ServiceAccount{}, &corev1.ServiceAccountList{}},
			{"services", "service", "svc", true, &corev1.Service{}, &corev1.ServiceList{}},
			{"events", "event", "ev", true, &corev1.Event{}, &corev1.EventList{}},
		}},
		{coordinationv1.SchemeGroupVersion, coordinationv1.AddToScheme, []resource{
			{"leases", "lease", "", true, &coordinationv1.Lease{}, &coordinationv1.LeaseList{}},
		}},
		{eventsv1.SchemeGroupVersion, eventsv1.AddToScheme, []resource{
			{"events", "event", "ev", true, &eventsv1.Event{}, &eventsv1.EventList{}},
		}},
		// Stored and nothing more, so that a whole install can be applied; nothing acts on them.
		{appsv1.SchemeGroupVersion, appsv1.AddToScheme, []resource{
			{"daemonsets", "daemonset", "ds", true, &appsv1.DaemonSet{}, &appsv1.DaemonSetList{}},
			{"deployments", "deployment", "deploy", true, &appsv1.Deployment{}, &appsv1.DeploymentList{}},
		}},
		{policyv1.SchemeGroupVersion, policyv1.AddToScheme, []resource{
			{"poddisruptionbudgets", "poddisruptionbudget", "pdb", true, &policyv1.PodDisruptionBudget{}, &policyv1.PodDisruptionBudgetList{}},
		}},
		{networkingv1.SchemeGroupVersion, networkingv1.AddToScheme, []resource{
			{"networkpolicies", "networkpolicy", "netpol", true, &networkingv1.NetworkPolicy{}, &networkingv1.NetworkPolicyList{}},
		}},
		{flowcontrolv1.SchemeGroupVersion, flowcontrolv1.AddToScheme, []resource{
			{"flowschemas", "flowschema", "", false, &flowcontrolv1.FlowSchema{}, &flowcontrolv1.FlowSchemaList{}},
			{"prioritylevelconfigurations", "prioritylevelconfiguration", "", false, &flowcontrolv1.PriorityLevelConfiguration{}, &flowcontrolv1.PriorityLevelConfigurationList{}},
		}},
		{rbacv1.SchemeGroupVersion, rbacv1.AddToScheme, []resource{
			{"roles", "role", "", true, &rbacv1.Role{}, &rbacv1.RoleList{}},
			{"rolebindings", "rolebinding", "", true, &rbacv1.RoleBinding{}, &rbacv1.RoleBindingList{}},
			{"clusterroles", "clusterrole", "", false, &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleList{}},
			{"clusterrolebindings", "clusterrolebinding", "", false, &rbacv1.ClusterRoleBinding{}, &rbacv1.ClusterRoleBindingList{}},
		}},
		{admissionv1.SchemeGroupVersion, admissionv1.AddToScheme, []resource{
			{"validatingadmissionpolicies", "validatingadmissionpolicy", "", false, &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyList{}},
			{"validatingadmissionpolicybindings", "validatingadmissionpolicybinding", "", false, &admissionv1.ValidatingAdmissionPolicyBinding{}, &admissionv1.ValidatingAdmissionPolicyBindingList{}},
			{"mutatingadmissionpolicies", "mutatingadmissionpolicy", "", false, &admissionv1.MutatingAdmissionPolicy{}, &admissionv1.MutatingAdmissionPolicyList{}},
			{"mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding", "", false, &admissionv1.MutatingAdmissionPolicyBinding{}, &admissionv1.MutatingAdmissionPolicyBindingList{}},
			{"validatingwebhookconfigurations", "validatingwebhookconfiguration", "", false, &admissionv1.ValidatingWebhookConfiguration{}, &admissionv1.ValidatingWebhookConfigurationList{}},
			{"mutatingwebhookconfigurations", "mutatingwebhookconfiguration", "", false, &admissionv1.MutatingWebhookConfiguration{}, &admissionv1.MutatingWebhookConfigurationList{}},
		}},
	}
)

// registerKinds registers the versioned Go types also as their own internal version, so that storage needs no conversion.
func registerKinds() []schema.GroupVersion {
	var versions []schema.GroupVersion
	for _, group := range groups {
		utilruntime.Must(group.install(scheme))
		versions = append(versions, group.version)
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	utilruntime.Must(metainternal.AddToScheme(scheme))
	for _, version := range versions {
		internal := schema.GroupVersion{Group: version.Group, Version: runtime.APIVersionInternal}
		for kind, t := range scheme.KnownTypes(version) {
			if t.PkgPath() == "k8s.io/apimachinery/pkg/apis/meta/v1" {
				continue
			}
			obj, err := scheme.New(version.WithKind(kind))
			utilruntime.Must(err)
			scheme.AddKnownTypeWithName(internal.WithKind(kind), obj)
		}
		utilruntime.Must(scheme.SetVersionPriority(version))
	}
	return versions
}

// addDefaults fills in what the real server's defaulting does and the policy evaluation relies on.
func addDefaults() {
	selectors := func(m *admissionv1.MatchResources) {
		if m == nil {
			return
		}
		if m.NamespaceSelector == nil {
			m.NamespaceSelector = &metav1.LabelSelector{}
		}
		if m.ObjectSelector == nil {
			m.ObjectSelector = &metav1.LabelSelector{}
		}
		if m.MatchPolicy == nil {
			m.MatchPolicy = ptr.To(admissionv1.Equivalent)
		}
		for i := range m.ResourceRules {
			if m.ResourceRules[i].Scope == nil {
				m.ResourceRules[i].Scope = ptr.To(admissionv1.AllScopes)
			}
		}
	}
	scheme.AddTypeDefaultingFunc(&admissionv1.ValidatingAdmissionPolicy{}, func(obj interface{}) {
		policy := obj.(*admissionv1.ValidatingAdmissionPolicy)
		selectors(policy.Spec.MatchConstraints)
		if policy.Spec.FailurePolicy == nil {
			policy.Spec.FailurePolicy = ptr.To(admissionv1.Fail)
		}
	})
	scheme.AddTypeDefaultingFunc(&admissionv1.ValidatingAdmissionPolicyBinding{}, func(obj interface{}) {
		selectors(obj.(*admissionv1.ValidatingAdmissionPolicyBinding).Spec.MatchResources)
	})
}
