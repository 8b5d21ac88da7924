#pragma once

#include <cstdint>

namespace mynah::i82540em {

// Interrupt causes, mask and moderation [8254x 3.2.7, 3.4.3, 13.4.17 to 13.4.22]. The chip says
// when; who owns it moves the line to interrupt() and calls expire() at deadline(). Time is in
// nanoseconds. Single-threaded.
class Interrupts {
  public:
    static constexpr uint64_t kNever = ~uint64_t{0};

    void reset() { *this = Interrupts(); }

    void raise(uint32_t causes, uint64_t now);
    // A frame was stored: RXT0 after RDTR and RADV.
    void received(uint64_t now);
    // A descriptor was written back whose command had IDE set: TXDW after TIDV and TADV.
    void sent_delayed(uint64_t now);
    void flush_receive(uint64_t now);  // RDTR.FPD

    uint32_t read_causes(uint64_t now);  // ICR: cleared by being read
    void clear_causes(uint32_t causes, uint64_t now);
    uint32_t mask() const { return mask_; }
    void set_mask(uint32_t bits, uint64_t now);
    void clear_mask(uint32_t bits, uint64_t now);

    uint16_t itr = 0, rdtr = 0, radv = 0, tidv = 0, tadv = 0;

    bool interrupt() const { return line_; }
    uint64_t deadline() const;
    void expire(uint64_t now);

  private:
    struct Delay {
        uint64_t packet = kNever;    // restarted by every event
        uint64_t absolute = kNever;  // begun by the first
        uint64_t due() const { return packet < absolute ? packet : absolute; }
    };
    static void start(Delay& delay, uint16_t packet, uint16_t absolute, uint64_t now);
    void update(uint64_t now);

    uint32_t causes_ = 0, mask_ = 0;
    bool line_ = false;
    uint64_t next_allowed_ = 0;  // by ITR
    Delay receive_, transmit_;
};

}  // namespace mynah::i82540em
