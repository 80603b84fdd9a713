// Command controlplane serves a small but real Kubernetes API for tests, put together from the Kubernetes API server libraries:
// CustomResourceDefinitions with everything the real server does for them, the built-in kinds a node agent and its controller meet,
// RBAC enforced, NamespaceLifecycle, admission policies and webhooks. Only the plain storage of the built-in kinds, the tokens and
// the RBAC evaluation are its own. There is no garbage collector, no kubelet and no service account controller.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"

	"controlplane/openapi"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	extensionsoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	extensionsopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/compatibility"
	"k8s.io/kube-openapi/pkg/common"
)

type settings struct {
	etcd, cert, key, clientCA, tokens string
	port                              int
}

func main() {
	var s settings
	flag.StringVar(&s.etcd, "etcd-servers", "", "etcd URL")
	flag.IntVar(&s.port, "secure-port", 6443, "port on 127.0.0.1")
	flag.StringVar(&s.cert, "tls-cert-file", "", "the server's certificate")
	flag.StringVar(&s.key, "tls-private-key-file", "", "its key")
	flag.StringVar(&s.clientCA, "client-ca-file", "", "CA of client certificates (common name = user, organisations = groups)")
	flag.StringVar(&s.tokens, "tokens", "", "JSON file with a list of {token, user, groups, extra}, read again when it changes")
	flag.Parse()
	if err := run(genericapiserver.SetupSignalContext(), s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	versions := registerKinds()
	addDefaults()
	o := genericoptions.NewRecommendedOptions("/registry", codecs.LegacyCodec(versions...))
	o.Etcd.StorageConfig.Transport.ServerList = []string{s.etcd}
	o.SecureServing.BindAddress, o.SecureServing.BindPort = net.ParseIP("127.0.0.1"), s.port
	o.SecureServing.ServerCert.CertKey = genericoptions.CertKey{CertFile: s.cert, KeyFile: s.key}
	o.Authentication.RemoteKubeConfigFileOptional, o.Authentication.SkipInClusterLookup = true, true
	o.Authentication.ClientCert.ClientCA = s.clientCA

	core, err := newConfig(*o.Etcd, scheme, codecs)
	if err != nil {
		return err
	}
	client, err := secure(core, o, s.tokens)
	if err != nil {
		return err
	}
	extensionServer, err := newExtensions(core, *o.Etcd)
	if err != nil {
		return err
	}
	server, err := core.Complete().New("controlplane", extensionServer)
	if err != nil {
		return err
	}
	if err := installKinds(server, core); err != nil {
		return err
	}
	server.AddPostStartHookOrDie("first-namespaces", func(hook genericapiserver.PostStartHookContext) error {
		for _, name := range []string{"default", "kube-system"} {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/metadata.name": name}}}
			if _, err := client.CoreV1().Namespaces().Create(hook, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
		}
		return nil
	})
	return server.PrepareRun().RunWithContext(ctx)
}

// secure sets up serving, who is who, who may what, and admission.
func secure(core *genericapiserver.RecommendedConfig, o *genericoptions.RecommendedOptions, tokenFile string) (kubernetes.Interface, error) {
	if err := o.SecureServing.ApplyTo(&core.SecureServing, &core.LoopbackClientConfig); err != nil {
		return nil, err
	}
	if err := o.Authentication.ApplyTo(&core.Authentication, core.SecureServing, core.OpenAPIConfig); err != nil {
		return nil, err
	}
	core.Authentication.Authenticator = union.NewFailOnError(bearertoken.New(&tokens{file: tokenFile}), core.Authentication.Authenticator)
	client, err := kubernetes.NewForConfig(core.LoopbackClientConfig)
	if err != nil {
		return nil, err
	}
	dynamicClient, err := dynamic.NewForConfig(core.LoopbackClientConfig)
	if err != nil {
		return nil, err
	}
	core.SharedInformerFactory = informers.NewSharedInformerFactory(client, 0)
	core.Authorization.Authorizer = newRBAC(core.SharedInformerFactory)
	core.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis")
	return client, o.Admission.ApplyTo(&core.Config, core.SharedInformerFactory, client, dynamicClient, utilfeature.DefaultFeatureGate, core.EffectiveVersion)
}

// newExtensions serves the custom resources; both servers share one discovery manager, else kubectl sees half.
func newExtensions(core *genericapiserver.RecommendedConfig, etcd genericoptions.EtcdOptions) (genericapiserver.DelegationTarget, error) {
	own := etcd
	own.StorageConfig.Codec = extensions.Codecs.LegacyCodec(apiextensionsv1.SchemeGroupVersion)
	config, err := newConfig(own, extensions.Scheme, extensions.Codecs)
	if err != nil {
		return nil, err
	}
	config.SecureServing, config.LoopbackClientConfig = core.SecureServing, core.LoopbackClientConfig
	config.Authentication, config.Authorization, config.AdmissionControl = core.Authentication, core.Authorization, core.AdmissionControl
	config.AggregatedDiscoveryGroupManager = core.AggregatedDiscoveryGroupManager
	config.MergedResourceConfig = extensions.DefaultAPIResourceConfigSource()
	all := extensions.Config{GenericConfig: config, ExtraConfig: extensions.ExtraConfig{
		CRDRESTOptionsGetter: extensionsoptions.NewCRDRESTOptionsGetter(etcd, nil, config.StorageObjectCountTracker),
	}}
	server, err := all.Complete().New(genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	return server.GenericAPIServer, nil
}

func installKinds(server *genericapiserver.GenericAPIServer, core *genericapiserver.RecommendedConfig) error {
	for _, group := range groups {
		info := genericapiserver.NewDefaultAPIGroupInfo(group.version.Group, scheme, metav1.ParameterCodec, codecs)
		storage := map[string]rest.Storage{}
		for _, r := range group.resources {
			main, status := newStorage(r, group.version.Group, core.RESTOptionsGetter)
			storage[r.plural], storage[r.plural+"/status"] = main, status
		}
		info.VersionedResourcesStorageMap[group.version.Version] = storage
		install := server.InstallAPIGroup
		if group.version.Group == "" {
			install = func(i *genericapiserver.APIGroupInfo) error { return server.InstallLegacyAPIGroup("/api", i) }
		}
		if err := install(&info); err != nil {
			return err
		}
	}
	return nil
}

func newConfig(etcd genericoptions.EtcdOptions, s *runtime.Scheme, c serializer.CodecFactory) (*genericapiserver.RecommendedConfig, error) {
	config := genericapiserver.NewRecommendedConfig(c)
	config.EffectiveVersion = compatibility.NewEffectiveVersionFromString("1.36", "", "")
	if err := etcd.ApplyTo(&config.Config); err != nil {
		return nil, err
	}
	namer := openapinamer.NewDefinitionNamer(s, extensions.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	return config, nil
}

// definitions: the extensions server's own lack the core types, without which server-side apply refuses to start.
func definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := extensionsopenapi.GetOpenAPIDefinitions(ref)
	for name, definition := range openapi.GetOpenAPIDefinitions(ref) {
		all[name] = definition
	}
	return all
}
