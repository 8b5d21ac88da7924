#pragma once

#include <atomic>
#include <cstdint>

namespace mynah {

// Carries registers over into the world outside a device, with no lock held: one thread at a time,
// and as often as it takes for the last change to be seen. A thread that finds another at it leaves
// it the work and goes on.
class SerialUpdate {
  public:
    // `work` reads the registers and does what follows from them; called again if another thread
    // asked meanwhile.
    template <typename Work>
    void request(Work&& work) {
        if (requests_.fetch_add(1, std::memory_order_acq_rel) != 0) return;
        uint32_t seen;
        do {
            seen = requests_.load(std::memory_order_acquire);
            work();
        } while (requests_.fetch_sub(seen, std::memory_order_acq_rel) != seen);
    }

  private:
    std::atomic<uint32_t> requests_{0};
};

}  // namespace mynah
