#include <fmt/core.h>

#include <map>
#include <optional>

#include "control/doctor/device_signs.h"
#include "control/doctor/serial_signs.h"
#include "machine/virtio_progress.h"

// What a driver and its device made of each other. The first stages of a device's life are those of
// [virtio-1.2 3.1.1]; Linux's bus sets ACKNOWLEDGE for what it finds, and a driver that takes the
// device DRIVER [drivers/virtio/virtio.c].
namespace mynah {
namespace {

using Stage = VirtioProgress::Stage;

// Guests need a few seconds until their drivers are there.
constexpr uint64_t kPatience = 5;

std::string module_of(const VirtioProgress& device) {
    std::string name = device.type;
    for (char& c : name) {
        if (c == '-') c = '_';
    }
    if (device.type == "virtio-fs") return "virtiofs";
    if (device.type == "virtio-vsock") return "vmw_vsock_virtio_transport";
    return name;
}

Diagnosis not_loaded(const VirtioProgress& device, const std::string& name, bool seen) {
    std::string text = fmt::format("{}: {} driver not loaded: ", name, device.type);
    if (device.stage == Stage::kLetGo) {
        text += "a driver had it (firmware's, or one that was removed) and gave it back; none has "
                "taken it since";
    } else if (seen) {
        text += "the guest's virtio bus has seen it, and no driver took it";
    } else {
        text += "its status never left 0: the guest has no driver for virtio devices on this bus, "
                "or did not come as far";
    }
    if (device.type.find(' ') == std::string::npos)
        text += fmt::format("; in the guest: modprobe {}{}", module_of(device),
                            seen ? "" : ", with virtio_pci or virtio_mmio below it");
    return {"driver-not-loaded", text, ""};
}

// Who did not offer, or not take, what.
std::string refusal(const VirtioProgress& device) {
    if (!device.lacking.empty())
        return fmt::format("the driver asks for {}, which the back end behind the device lacks",
                           device.lacking);
    if (!device.unknown.empty())
        return fmt::format("the driver asks for {}, which the device did not offer",
                           device.unknown);
    if (!device.missing.empty())
        return fmt::format("the driver did not take {}, which this device needs", device.missing);
    return "the device did not accept the set of features";
}

Diagnosis gave_up(const VirtioProgress& device, const std::string& name, unsigned refusals) {
    const std::string begin = fmt::format("{}: the driver gave up (FAILED)", name);
    if (refusals != 0) return {"driver-refused", begin + ": " + refusal(device), ""};
    std::string text = begin;
    if (device.status.find("FEATURES_OK") != std::string::npos) {
        text += " after the features were agreed on: it cannot use the device as it is configured, "
                "or was out of memory";
    } else if (device.wrote) {
        text += " after it wrote its features, and before it asked whether they are accepted";
    } else {
        text += " before it wrote features: the device does not offer what this driver needs";
    }
    if (!device.withheld.empty())
        text += fmt::format("; the back end lacks {}", device.withheld);
    return {"driver-failed", text + "; the guest's kernel log names it (dmesg)", ""};
}

std::optional<Diagnosis> trouble(const VirtioProgress& device, const std::string& name,
                                 unsigned refusals) {
    switch (device.stage) {
        case Stage::kRunning:
            return std::nullopt;
        case Stage::kUntouched:
        case Stage::kNoDriver:
        case Stage::kLetGo:
            // Many guests do without random numbers of the host's.
            if (device.entropy) return std::nullopt;
            return not_loaded(device, name, device.stage == Stage::kNoDriver);
        case Stage::kGaveUp:
            return gave_up(device, name, refusals);
        case Stage::kRefused:
            return Diagnosis{"driver-refused",
                             fmt::format("{}: features refused: {}", name, refusal(device)), ""};
        case Stage::kNegotiating:
            return Diagnosis{"driver-stuck",
                             name + ": a driver took the device (DRIVER) and has not agreed on "
                                    "features (FEATURES_OK): it hangs, or died there",
                             ""};
        case Stage::kAgreed:
            return Diagnosis{"driver-stuck",
                             name + ": features are agreed on (FEATURES_OK), but the driver did not "
                                    "start the device (DRIVER_OK): it hangs, or died there",
                             ""};
        case Stage::kBroken:
            break;
    }
    const std::string queue =
        device.bad_queue ? fmt::format("queue {}", *device.bad_queue) : std::string("a queue");
    return Diagnosis{"device-stopped",
                     fmt::format("{}: the driver laid out {} so that the device had to stop "
                                 "(DEVICE_NEEDS_RESET); it needs a reset, as unloading and loading "
                                 "the driver does",
                                 name, queue),
                     ""};
}

std::string evidence_of(const VirtioProgress& device, const VirtioHistory::Values& values) {
    std::string text = fmt::format("device status {}, reset {} times\n", device.status,
                                   values.resets);
    if (!device.offered.empty()) text += fmt::format("offered: {}\n", device.offered);
    if (device.wrote)
        text += fmt::format("the driver{} chose: {}\n", device.legacy ? ", a legacy one," : "",
                            device.chosen.empty() ? "none" : device.chosen);
    return text;
}

}  // namespace

std::vector<Diagnosis> signs_of_drivers(const RunRecord::Contents& record, MachineMoment moment) {
    std::vector<Diagnosis> found;
    // One that did not start, or only just did.
    if (!record.has_run || (moment.running && moment.seconds < kPatience)) return found;
    std::map<std::string, unsigned> numbers;
    for (const auto& each : record.virtio) {
        const VirtioProgress device = progress_of(each.values);
        const std::string name = fmt::format("{} {} ({})", device.type, numbers[device.type]++,
                                             printable(each.place));
        auto diagnosis = trouble(device, name, each.values.refusals);
        if (!diagnosis) continue;
        if (moment.running)
            diagnosis->text += fmt::format(" (the machine runs for {} s)", moment.seconds);
        diagnosis->evidence = evidence_of(device, each.values);
        found.push_back(std::move(*diagnosis));
    }
    return found;
}

}  // namespace mynah
