#pragma once

#include <array>
#include <cstdint>

#include "backend/display/input_sink.h"
#include "device/input/ps2_device.h"

namespace mynah {

// A PS/2 mouse [PS/2 TRM, mouse], which becomes one with a wheel and one with five buttons when a
// driver asks in the way Microsoft's mice are asked (sample rates 200, 100, 80 and 200, 200, 80).
// Movements that come faster than they are read add up. Left out: the effects of
// sample rate and resolution.
// Single-threaded.
class Ps2Mouse final : public Ps2Device {
  public:
    // As after power-on, the result of its self-test already sent.
    void reset();

    void move(int dx, int dy);  // right, down
    void button(PointerButton button, bool pressed);
    void wheel(int notches);  // away from the user
    bool reporting() const { return reporting_; }

    void receive(uint8_t byte) override;
    bool has_byte() const override;
    uint8_t take_byte() override;

  private:
    enum class Mode : uint8_t { kStream, kRemote, kWrap };

    void set_defaults();
    void answer(uint8_t byte) { answers_.push(byte); }
    void argument(uint8_t waiting, uint8_t byte);
    void command(uint8_t byte);
    void sample_rate(uint8_t rate);
    void status();
    void make_packet();
    bool has_report() const;

    Ps2Queue<16> answers_;  // go before reports
    Ps2Queue<8> packet_;
    uint8_t last_sent_ = 0, expecting_ = 0;
    Mode mode_ = Mode::kStream, before_wrap_ = Mode::kStream;
    bool reporting_ = false, double_scale_ = false;
    uint8_t id_ = 0, rate_ = 100, resolution_ = 2;
    std::array<uint8_t, 3> last_rates_{};
    int dx_ = 0, dy_ = 0, dz_ = 0;                // not yet reported
    uint8_t buttons_ = 0, reported_buttons_ = 0;  // one bit for each PointerButton
};

}  // namespace mynah
