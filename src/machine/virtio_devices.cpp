#include "machine/virtio_devices.h"

#include "backend/filesystem/fuse_server.h"
#include "backend/vsock/unix_vsock.h"
#include "paravirt/virtio/balloon/virtio_balloon.h"
#include "paravirt/virtio/console/virtio_console.h"
#include "paravirt/virtio/fs/virtio_fs.h"
#include "paravirt/virtio/gpu/virtio_gpu.h"
#include "paravirt/virtio/input/virtio_input.h"
#include "paravirt/virtio/vsock/virtio_vsock.h"

namespace mynah {
namespace {

// PCI class codes.
constexpr uint32_t kOtherDisplay = 0x038000;
constexpr uint32_t kOtherCommunication = 0x078000, kOtherStorage = 0x018000, kKeyboard = 0x090000,
                   kMouse = 0x090200, kUnclassified = 0x00ff00;

}  // namespace

VirtioDevices::VirtioDevices(Parts parts) : parts_(std::move(parts)) {}
VirtioDevices::~VirtioDevices() = default;

Result<std::unique_ptr<VirtioDevices>> VirtioDevices::make(const MachineConfig& config,
                                                           Parts parts) {
    std::unique_ptr<VirtioDevices> devices(new VirtioDevices(std::move(parts)));
    devices->add_console(config);
    devices->add_balloon(config);
    TRY(devices->add_vsock(config));
    TRY(devices->add_filesystems(config));
    devices->add_display(config);
    devices->add_inputs(config);
    return devices;
}

void VirtioDevices::plug(std::unique_ptr<VirtioDevice> device, uint32_t pci_class) {
    VirtioPlug made;
    made.device = std::move(device);
    made.pci_class = pci_class;
    plugs_.push_back(std::move(made));
}

void VirtioDevices::add_console(const MachineConfig& config) {
    std::vector<VirtioConsolePort> ports;
    for (size_t i = 0; i < config.devices.consoles.size(); ++i) {
        const ConsoleConfig& console = config.devices.consoles[i];
        ports.push_back({*parts_.consoles[i], console.console, console.name});
    }
    if (ports.empty()) return;
    auto device = std::make_unique<VirtioConsole>(ports);
    console_ = device.get();
    plug(std::move(device), kOtherCommunication);
}

void VirtioDevices::add_balloon(const MachineConfig& config) {
    if (!config.devices.balloon) return;
    VirtioBalloonOptions options;
    options.deflate_on_oom = config.devices.balloon->deflate_on_oom;
    options.free_page_reporting = config.devices.balloon->free_page_reporting;
    auto device = std::make_unique<VirtioBalloon>(parts_.memory, config.memory_bytes, options);
    balloon_ = device.get();
    plug(std::move(device), kUnclassified);
    plugs_.back().direct = true;
}

Result<void> VirtioDevices::add_vsock(const MachineConfig& config) {
    if (!config.devices.vsock) return {};
    const VsockConfig& vsock = *config.devices.vsock;
    vsock_ = TRY(UnixVsock::listen(vsock.socket, "--vsock socket=" + vsock.socket));
    plug(std::make_unique<VirtioVsock>(*vsock_, vsock.cid), kOtherCommunication);
    return {};
}

Result<void> VirtioDevices::add_filesystems(const MachineConfig& config) {
    for (const FilesystemConfig& filesystem : config.devices.filesystems) {
        filesystems_.push_back(TRY(FuseServer::open(
            filesystem.directory, {.read_only = filesystem.read_only}, "--filesystem")));
        plug(std::make_unique<VirtioFs>(*filesystems_.back(), parts_.slow_work, filesystem.tag),
             kOtherStorage);
    }
    return {};
}

void VirtioDevices::add_display(const MachineConfig& config) {
    const VideoConfig& video = config.devices.video;
    if (video.model != VideoConfig::Model::kVirtio) return;
    auto gpu = std::make_unique<VirtioGpu>(
        Monitor{.preferred_width = video.width, .preferred_height = video.height});
    DisplaySource* const display = gpu.get();
    plug(std::move(gpu), kOtherDisplay);
    plugs_.back().display = display;
}

void VirtioDevices::add_inputs(const MachineConfig& config) {
    for (const InputDevice input : config.devices.inputs) {
        if (input == InputDevice::kKeyboard) {
            auto keyboard = std::make_unique<VirtioKeyboard>();
            KeySink* const keys = keyboard.get();
            plug(std::move(keyboard), kKeyboard);
            plugs_.back().keys = keys;
        } else {
            using Kind = VirtioPointer::Kind;
            auto pointer = std::make_unique<VirtioPointer>(
                input == InputDevice::kMouse ? Kind::kMouse : Kind::kTablet);
            PointerSink* const sink = pointer.get();
            plug(std::move(pointer), kMouse);
            plugs_.back().pointer = sink;
        }
    }
}

void VirtioDevices::terminal_resized() {
    if (console_ != nullptr) console_->terminal_resized();
}

}  // namespace mynah
