// A plugin for Velero as others write them: native snapshots of volumes that are folders, and an action that pulls what an object names.
//
// Volumes: PersistentVolumes with a flexVolume of the driver example.com/folder and the option `volume`; the location's config says `root`.
// A volume is ROOT/volumes/NAME, a snapshot a copy of it, ROOT/native/NAME. The action: a ConfigMap with the annotation
// example.com/companion: NAMESPACE/NAME brings that Secret into the backup, whatever the backup selects.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	api "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	"github.com/vmware-tanzu/velero/pkg/plugin/velero"
)

const driver = "example.com/folder"

type snapshotter struct{ root string }

func (s *snapshotter) Init(config map[string]string) error {
	s.root = config["root"]
	if s.root == "" {
		return errors.New("the location's config has no root")
	}
	return nil
}

func (s *snapshotter) GetVolumeID(pv runtime.Unstructured) (string, error) {
	name, _, err := unstructured.NestedString(pv.UnstructuredContent(), "spec", "flexVolume", "driver")
	if err != nil || name != driver {
		return "", err
	}
	id, _, err := unstructured.NestedString(pv.UnstructuredContent(), "spec", "flexVolume", "options", "volume")
	return id, err
}

func (s *snapshotter) SetVolumeID(pv runtime.Unstructured, id string) (runtime.Unstructured, error) {
	return pv, unstructured.SetNestedField(pv.UnstructuredContent(), id, "spec", "flexVolume", "options", "volume")
}

func (s *snapshotter) GetVolumeInfo(string, string) (string, *int64, error) {
	return "folder", nil, nil
}

func (s *snapshotter) CreateSnapshot(id, _ string, _ map[string]string) (string, error) {
	snapshot := fmt.Sprintf("%s-%d", id, time.Now().UnixNano())
	return snapshot, os.CopyFS(filepath.Join(s.root, "native", snapshot), os.DirFS(filepath.Join(s.root, "volumes", id)))
}

func (s *snapshotter) CreateVolumeFromSnapshot(snapshot, _, _ string, _ *int64) (string, error) {
	id := "from-" + snapshot
	return id, os.CopyFS(filepath.Join(s.root, "volumes", id), os.DirFS(filepath.Join(s.root, "native", snapshot)))
}

func (s *snapshotter) DeleteSnapshot(snapshot string) error {
	return os.RemoveAll(filepath.Join(s.root, "native", snapshot))
}

type companions struct{}

func (companions) AppliesTo() (velero.ResourceSelector, error) {
	return velero.ResourceSelector{IncludedResources: []string{"configmaps"}}, nil
}

func (companions) Execute(item runtime.Unstructured, _ *api.Backup) (runtime.Unstructured, []velero.ResourceIdentifier, error) {
	named, found, err := unstructured.NestedString(item.UnstructuredContent(), "metadata", "annotations", "example.com/companion")
	if err != nil || !found {
		return item, nil, err
	}
	namespace, name, _ := strings.Cut(named, "/")
	secret := velero.ResourceIdentifier{GroupResource: schema.GroupResource{Resource: "secrets"}, Namespace: namespace, Name: name}
	return item, []velero.ResourceIdentifier{secret}, nil
}

func main() {
	framework.NewServer().
		BindFlags(pflag.CommandLine).
		RegisterVolumeSnapshotter(driver, func(logrus.FieldLogger) (any, error) { return &snapshotter{}, nil }).
		RegisterBackupItemAction("example.com/companions", func(logrus.FieldLogger) (any, error) { return companions{}, nil }).
		Serve()
}
