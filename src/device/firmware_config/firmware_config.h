#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "bus/io_handler.h"
#include "device/firmware_config/fw_cfg_registers.h"
#include "memory/dma_view.h"

namespace mynah {

// The device by which firmware learns of the machine and gets files [fw_cfg]: items by number, read
// byte by byte from a port or by DMA. Items are added while the machine is built and before it
// starts anew; the guest can write only those that say so. Any thread.
class FirmwareConfig final : public IoHandler {
  public:
    using Bytes = std::vector<std::byte>;

    explicit FirmwareConfig(const DmaView& dma);

    // Replaces what was there. While no vCPU runs.
    void set_item(uint16_t key, Bytes content) EXCLUDES(mutex_);
    void set_number(uint16_t key, uint64_t value, unsigned bytes);
    // A file; keys are given in the order of names, which is what firmware expects to be stable.
    void set_file(std::string_view name, Bytes content) EXCLUDES(mutex_);
    void set_writable_file(std::string_view name, Bytes content) EXCLUDES(mutex_);
    void remove_file(std::string_view name) EXCLUDES(mutex_);
    // What the guest left in a writable file; empty if there is no such file.
    Bytes file(std::string_view name) EXCLUDES(mutex_);

    // kPorts ports, 510h on a PC.
    uint64_t read(uint64_t offset, unsigned size) override EXCLUDES(mutex_);
    void write(uint64_t offset, unsigned size, uint64_t value) override EXCLUDES(mutex_);
    void reset() EXCLUDES(mutex_);

  private:
    struct Item {
        Bytes content;
        bool writable = false;
    };

    void select(uint16_t key) REQUIRES(mutex_);
    uint8_t next_byte() REQUIRES(mutex_);
    void run_dma(uint64_t address) EXCLUDES(mutex_);
    bool transfer(const fw_cfg::DmaAccess& access) REQUIRES(mutex_);
    void renumber() REQUIRES(mutex_);

    const DmaView& dma_;
    Mutex mutex_;
    std::map<uint16_t, Item> items_ GUARDED_BY(mutex_);
    std::map<std::string, Item> files_ GUARDED_BY(mutex_);
    std::vector<Item*> file_items_ GUARDED_BY(mutex_);  // by key
    Item* selected_ GUARDED_BY(mutex_) = nullptr;       // null: nothing there
    size_t position_ GUARDED_BY(mutex_) = 0;
    uint32_t dma_high_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mynah
