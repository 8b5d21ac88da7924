#include <array>

#include "machine/machine.h"
#include "paravirt/virtio/balloon/virtio_balloon.h"

// What a machine's operator asks of its memory balloon.
namespace mynah {

void Machine::set_balloon(uint64_t bytes) { virtio_->balloon()->set_target(bytes); }
uint64_t Machine::balloon_actual() const { return virtio_->balloon()->actual(); }
void Machine::ask_for_free_pages() { virtio_->balloon()->ask_for_free_pages(); }

std::map<std::string, uint64_t> Machine::balloon_statistics() {
    // As QEMU names them, by tag [virtio-1.2 5.5.6.4].
    constexpr std::array kNames{"stat-swap-in",          "stat-swap-out",    "stat-major-faults",
                                "stat-minor-faults",     "stat-free-memory", "stat-total-memory",
                                "stat-available-memory", "stat-disk-caches", "stat-htlb-pgalloc",
                                "stat-htlb-pgfail"};
    static_assert(kNames.size() == virtio::balloon::kStatistics);
    std::map<std::string, uint64_t> out;
    const auto told = virtio_->balloon()->statistics();
    for (size_t i = 0; i < told.size(); ++i) {
        if (told[i]) out[kNames[i]] = *told[i];
    }
    return out;
}

}  // namespace mynah
