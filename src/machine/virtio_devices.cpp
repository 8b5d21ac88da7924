#include "machine/virtio_devices.h"

#include "paravirt/virtio/balloon/virtio_balloon.h"
#include "paravirt/virtio/console/virtio_console.h"

namespace mynah {
namespace {

// PCI class codes.
constexpr uint32_t kOtherCommunication = 0x078000, kUnclassified = 0x00ff00;

}  // namespace

VirtioDevices::VirtioDevices(Parts parts) : parts_(std::move(parts)) {}
VirtioDevices::~VirtioDevices() = default;

Result<std::unique_ptr<VirtioDevices>> VirtioDevices::make(const MachineConfig& config,
                                                           Parts parts) {
    std::unique_ptr<VirtioDevices> devices(new VirtioDevices(std::move(parts)));
    devices->add_console(config);
    devices->add_balloon(config);
    return devices;
}

void VirtioDevices::plug(std::unique_ptr<VirtioDevice> device, uint32_t pci_class) {
    plugs_.push_back({std::move(device), pci_class});
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
    auto device = std::make_unique<VirtioBalloon>(DmaView(parts_.memory), parts_.memory.size(),
                                                  options);
    balloon_ = device.get();
    plug(std::move(device), kUnclassified);
}

void VirtioDevices::terminal_resized() {
    if (console_ != nullptr) console_->terminal_resized();
}

}  // namespace mynah
