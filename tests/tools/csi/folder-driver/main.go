// A CSI driver whose volumes and snapshots are folders: enough of the controller's side for a real csi-snapshotter to take snapshots.
//
// usage: folder-driver --socket=FILE --root=FOLDER
// A volume is FOLDER/volumes/HANDLE; whoever makes PersistentVolumes by hand makes it. A snapshot is a copy of it, FOLDER/snapshots/ID.
package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const name = "folder.csi.example.com"

type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	root string
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: name, VendorVersion: "1"}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	controller := &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{{Type: &csi.PluginCapability_Service_{Service: controller}}}}, nil
}

func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	snapshots := &csi.ControllerServiceCapability_RPC{Type: csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT}
	capability := &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{Rpc: snapshots}}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: []*csi.ControllerServiceCapability{capability}}, nil
}

// place is the folder of a volume or a snapshot; its name comes from a request and must be one.
func (d *driver) place(kind, id string) (string, error) {
	if id == "" || id != filepath.Base(id) || strings.HasPrefix(id, ".") {
		return "", status.Errorf(codes.InvalidArgument, "%q names none of %s", id, kind)
	}
	return filepath.Join(d.root, kind, id), nil
}

func (d *driver) CreateSnapshot(_ context.Context, request *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	source, err := d.place("volumes", request.GetSourceVolumeId())
	if err != nil {
		return nil, err
	}
	target, err := d.place("snapshots", request.GetName())
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(source); err != nil {
		return nil, status.Errorf(codes.NotFound, "volume %s: %v", request.GetSourceVolumeId(), err)
	}
	if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
		if err := os.CopyFS(target, os.DirFS(source)); err != nil {
			return nil, status.Errorf(codes.Internal, "copying volume %s: %v", request.GetSourceVolumeId(), err)
		}
	}
	made, err := os.Stat(target)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "snapshot %s: %v", request.GetName(), err)
	}
	var size int64
	count := func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	}
	if err := filepath.WalkDir(target, count); err != nil {
		return nil, status.Errorf(codes.Internal, "snapshot %s: %v", request.GetName(), err)
	}
	return &csi.CreateSnapshotResponse{Snapshot: &csi.Snapshot{
		SnapshotId: request.GetName(), SourceVolumeId: request.GetSourceVolumeId(), SizeBytes: size,
		CreationTime: timestamppb.New(made.ModTime()), ReadyToUse: true,
	}}, nil
}

func (d *driver) DeleteSnapshot(_ context.Context, request *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	target, err := d.place("snapshots", request.GetSnapshotId())
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(target); err != nil {
		return nil, status.Errorf(codes.Internal, "snapshot %s: %v", request.GetSnapshotId(), err)
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

func main() {
	socket, root := flag.String("socket", "", "unix socket to listen on"), flag.String("root", "", "folder of volumes and snapshots")
	flag.Parse()
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		log.Fatal(err)
	}
	server, driver := grpc.NewServer(), &driver{root: *root}
	csi.RegisterIdentityServer(server, driver)
	csi.RegisterControllerServer(server, driver)
	log.Fatal(server.Serve(listener))
}
