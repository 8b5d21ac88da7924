#pragma once

#include <array>
#include <cstdint>

namespace mynah {

// A 93C46 serial EEPROM of 64 words on a Microwire bus, as network cards use it for their address
// and settings [93C46: Microchip DS21749, Atmel 0172]. The pins are a register's bits in the card.
// Instructions: READ, also of several words in a row, WRITE, ERASE, EWEN, EWDS, WRAL, ERAL.
// Programming takes no time. Single-threaded.
class Eeprom93c46 {
  public:
    static constexpr unsigned kWords = 64;

    std::array<uint16_t, kWords>& words() { return words_; }
    const std::array<uint16_t, kWords>& words() const { return words_; }

    // New levels of chip select, clock and data input; things happen at edges.
    void set_pins(bool select, bool clock, bool data_in);
    bool data_out() const { return data_out_; }
    // The bus only: words and write protection stay.
    void deselect();

  private:
    enum class Phase : uint8_t { kStart, kInstruction, kRead, kWrite, kDone };
    void clock_in(bool data_in);
    void decode();
    void finish_write();

    static constexpr unsigned kInstructionBits = 8;  // two of opcode, six of address

    std::array<uint16_t, kWords> words_{};
    Phase phase_ = Phase::kStart;
    bool selected_ = false, clock_ = false, data_out_ = true;
    bool write_enabled_ = false;
    unsigned bits_ = 0;   // shifted so far
    uint32_t shift_ = 0;  // what was shifted
    unsigned address_ = 0;
    bool all_words_ = false;  // WRAL
};

}  // namespace mynah
