#include "cli/controller_option.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "cli/option_value.h"
#include "cli/value_keys.h"
#include "cli/virtio_parts.h"

namespace mynah {
namespace {

struct Model {
    std::string_view name;
    UsbModel usb;
};
constexpr std::array kModels{
    Model{"xhci", UsbModel::kXhci},       Model{"qemu-xhci", UsbModel::kXhci},
    Model{"nec-xhci", UsbModel::kXhci},   Model{"ehci", UsbModel::kEhci},
    Model{"ich9-ehci1", UsbModel::kEhci}, Model{"none", UsbModel::kNone},
};

Result<void> apply_usb(RunOptions& options, std::span<const ValuePart> parts) {
    std::optional<UsbModel> usb;
    const auto set_model = [&](const std::string& name) -> Result<void> {
        const auto found = std::ranges::find(kModels, name, &Model::name);
        if (found == kModels.end())
            return Error("expected xhci, ehci (with UHCI companions) or none");
        usb = found->usb;
        return {};
    };
    const ValueKey keys[] = {{"model", set_model}};
    TRY(apply_value_keys(parts, keys));
    if (!usb) return Error("expected usb,model=xhci|ehci|none");
    if (options.usb_given) return Error("a USB controller was given before");
    options.machine.usb = *usb;
    options.usb_given = true;
    return {};
}

Result<void> apply_scsi(RunOptions& options, std::span<const ValuePart> parts) {
    constexpr size_t kMost = 4, kMaxId = 64;
    ScsiHostConfig host;
    const auto set_id = [&](const std::string& id) -> Result<void> {
        if (id.empty() || id.size() > kMaxId)
            return Error(fmt::format("expected 1 to {} characters", kMaxId));
        host.id = id;
        return {};
    };
    const auto set_virtio = [&](std::string_view key) {
        return [&host, key](const std::string& value) -> Result<void> {
            const ValuePart part{std::string(key), value};
            TRY(apply_virtio_part(host.virtio, part, ScsiHostConfig::kMaxQueues));
            return {};
        };
    };
    const ValueKey keys[] = {{"id", set_id},
                             only_key("model", "virtio-scsi"),
                             {"queues", set_virtio("queues")},
                             {"driver.queues", set_virtio("queues")},
                             {"packed", set_virtio("packed")},
                             {"in_order", set_virtio("in_order")}};
    TRY(apply_value_keys(parts, keys));
    if (options.machine.scsi_hosts.size() == kMost)
        return Error(fmt::format("more than {} SCSI hosts", kMost));
    options.machine.scsi_hosts.push_back(host);
    return {};
}

}  // namespace

Result<void> apply_controller_option(RunOptions& options, std::string_view value) {
    const std::vector<ValuePart> parts = split_value(value);
    // The kind comes first, as virt-install has it; `type=` may stand anywhere.
    std::string kind;
    std::vector<ValuePart> rest;
    for (const ValuePart& part : parts) {
        if (kind.empty() && (part.key.empty() || part.key == "type")) {
            kind = part.value;
        } else {
            rest.push_back(part);
        }
    }
    if (kind == "usb") return apply_usb(options, rest);
    if (kind == "scsi") return apply_scsi(options, rest);
    return Error("expected usb,model=xhci|ehci|none or scsi[,id=][,queues=N]");
}

}  // namespace mynah
