#pragma once

#include <atomic>
#include <vector>

#include "backend/network/network_backend.h"

namespace mynah {

// What a halted processor looks after before its thread goes to sleep: the host sides of networks,
// whose own threads would have to be woken first to find what came in (halt_poll.h).
class IdleLook {
  public:
    // Before processors run; must outlive them.
    void watch(NetworkBackend& network) { networks_.push_back(&network); }

    // Once; one processor at a time. Any thread.
    void look() {
        if (networks_.empty() || busy_.test_and_set(std::memory_order_acquire)) return;
        for (NetworkBackend* const network : networks_) network->look();
        busy_.clear(std::memory_order_release);
    }

  private:
    std::vector<NetworkBackend*> networks_;
    std::atomic_flag busy_;
};

}  // namespace mynah
