#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "machine/run_record.h"
#include "paravirt/virtio/virtio_device.h"

namespace mynah {

// Lets the record of the machine, if there is one, follow what becomes of a device or a network, for
// as long as what is returned lives. The record outlives that, and that the device.
inline std::shared_ptr<void> follow(RunRecord* record, VirtioDevice& device,
                                    std::string_view place) {
    VirtioHistory* const history =
        record == nullptr ? nullptr : record->add_virtio(device.device_id(), place);
    device.set_history(history);
    if (history == nullptr) return nullptr;
    return {history, [record](VirtioHistory* each) { record->remove_virtio(each); }};
}

inline std::shared_ptr<void> follow(RunRecord* record, std::unique_ptr<NetworkBackend>& network,
                                    std::string_view place) {
    NetworkCounts* const counts = record == nullptr ? nullptr : record->add_network(place);
    if (counts == nullptr) return nullptr;
    network = std::make_unique<NetworkWatch>(std::move(network), *counts);
    return {counts, [record](NetworkCounts* each) { record->remove_network(each); }};
}

}  // namespace mynah
