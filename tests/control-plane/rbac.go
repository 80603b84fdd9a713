package main

import (
	"context"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	rbac "k8s.io/client-go/listers/rbac/v1"
)

// roleAuthorizer evaluates stored RBAC objects; members of system:masters may do everything, everyone may discover.
type roleAuthorizer struct {
	clusterRoles    rbac.ClusterRoleLister
	clusterBindings rbac.ClusterRoleBindingLister
	roles           rbac.RoleLister
	bindings        rbac.RoleBindingLister
}

func newRBAC(f informers.SharedInformerFactory) *roleAuthorizer {
	v1 := f.Rbac().V1()
	return &roleAuthorizer{v1.ClusterRoles().Lister(), v1.ClusterRoleBindings().Lister(), v1.Roles().Lister(), v1.RoleBindings().Lister()}
}

var discovery = []string{"/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz"}

func (a *roleAuthorizer) Authorize(_ context.Context, r authorizer.Attributes) (authorizer.Decision, string, error) {
	if slices.Contains(r.GetUser().GetGroups(), user.SystemPrivilegedGroup) {
		return authorizer.DecisionAllow, "", nil
	}
	if !r.IsResourceRequest() && slices.ContainsFunc(discovery, func(p string) bool { return strings.HasPrefix(r.GetPath(), p) }) {
		return authorizer.DecisionAllow, "", nil
	}
	cluster, _ := a.clusterBindings.List(labels.Everything())
	for _, b := range cluster {
		if binds(b.Subjects, "", r.GetUser()) {
			if role, err := a.clusterRoles.Get(b.RoleRef.Name); err == nil && slices.ContainsFunc(role.Rules, allows(r)) {
				return authorizer.DecisionAllow, "", nil
			}
		}
	}
	if r.GetNamespace() != "" {
		local, _ := a.bindings.RoleBindings(r.GetNamespace()).List(labels.Everything())
		for _, b := range local {
			if binds(b.Subjects, b.Namespace, r.GetUser()) && slices.ContainsFunc(a.rules(b), allows(r)) {
				return authorizer.DecisionAllow, "", nil
			}
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func (a *roleAuthorizer) rules(b *rbacv1.RoleBinding) []rbacv1.PolicyRule {
	if b.RoleRef.Kind == "ClusterRole" {
		if role, err := a.clusterRoles.Get(b.RoleRef.Name); err == nil {
			return role.Rules
		}
		return nil
	}
	if role, err := a.roles.Roles(b.Namespace).Get(b.RoleRef.Name); err == nil {
		return role.Rules
	}
	return nil
}

func binds(subjects []rbacv1.Subject, namespace string, u user.Info) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case rbacv1.UserKind:
			return s.Name == u.GetName()
		case rbacv1.GroupKind:
			return slices.Contains(u.GetGroups(), s.Name)
		case rbacv1.ServiceAccountKind:
			ns := s.Namespace
			if ns == "" {
				ns = namespace
			}
			return u.GetName() == "system:serviceaccount:"+ns+":"+s.Name
		}
		return false
	})
}

func allows(r authorizer.Attributes) func(rbacv1.PolicyRule) bool {
	has := func(list []string, values ...string) bool {
		return slices.ContainsFunc(list, func(v string) bool { return v == "*" || slices.Contains(values, v) })
	}
	return func(rule rbacv1.PolicyRule) bool {
		if !has(rule.Verbs, r.GetVerb()) {
			return false
		}
		if !r.IsResourceRequest() {
			return has(rule.NonResourceURLs, r.GetPath())
		}
		resource := r.GetResource()
		if r.GetSubresource() != "" {
			resource += "/" + r.GetSubresource()
		}
		return has(rule.APIGroups, r.GetAPIGroup()) && has(rule.Resources, resource, "*/"+r.GetSubresource()) &&
			(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.GetName()))
	}
}
