#pragma once

#include <array>
#include <bitset>
#include <optional>
#include <vector>

#include "backend/display/input_sink.h"
#include "base/mutex.h"

namespace mynah {

// Hands input to the keyboard and the pointing device that the guest has set up, the last one added
// first: USB devices go before those every PC has. What was pressed on one device is released
// there, even if another took over meanwhile. A device that knows only movements is moved by how
// far the pointer went.
class InputRouter final : public InputSink {
  public:
    // While the machine is built; sinks outlive the router's callers.
    void add(KeySink& keyboard) EXCLUDES(mutex_);
    void add(PointerSink& pointer) EXCLUDES(mutex_);

    void key(uint16_t code, bool pressed) override EXCLUDES(mutex_);
    void point(const Place& place) override EXCLUDES(mutex_);
    void button(PointerButton button, bool pressed) override EXCLUDES(mutex_);
    void wheel(int vertical, int horizontal) override EXCLUDES(mutex_);

    static constexpr unsigned kKeys = 0x300;  // KEY_CNT

  private:
    PointerSink* pointer() REQUIRES(mutex_);

    Mutex mutex_;  // held while sinks are called: events keep their order
    std::vector<KeySink*> keyboards_ GUARDED_BY(mutex_);
    std::vector<PointerSink*> pointers_ GUARDED_BY(mutex_);
    std::array<KeySink*, kKeys> held_keys_ GUARDED_BY(mutex_){};
    std::array<PointerSink*, kPointerButtons> held_buttons_ GUARDED_BY(mutex_){};
    std::optional<Place> last_ GUARDED_BY(mutex_);
};

}  // namespace mynah
