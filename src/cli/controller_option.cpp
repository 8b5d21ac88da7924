#include "cli/controller_option.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

#include "cli/option_value.h"

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

}  // namespace

Result<void> apply_controller_option(RunOptions& options, std::string_view value) {
    std::optional<UsbModel> usb;
    bool is_usb = false;
    for (const ValuePart& part : split_value(value)) {
        if ((part.key.empty() || part.key == "type") && part.value == "usb") {
            is_usb = true;
        } else if (part.key == "model") {
            const auto found = std::ranges::find(kModels, part.value, &Model::name);
            if (found == kModels.end()) {
                return Error(fmt::format("model={}: expected xhci, ehci (with UHCI companions) or "
                                         "none",
                                         part.value));
            }
            usb = found->usb;
        } else {
            return Error(fmt::format("'{}': unexpected; expected usb,model=xhci|ehci|none",
                                     part.key.empty() ? part.value : part.key));
        }
    }
    if (!is_usb || !usb) return Error("expected usb,model=xhci|ehci|none");
    options.machine.usb = *usb;
    options.usb_given = true;
    return {};
}

}  // namespace mynah
