#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "bus/io_handler.h"

namespace mynah {

// The ranges of one address space (ports, or memory that is not RAM) and who answers in each.
// Ranges are added while the machine is built; look-ups come from any vCPU thread. Nobody home:
// reads give all ones, writes are dropped. An access that straddles ranges is split into bytes.
class IoSpace {
 public:
    IoSpace();
    ~IoSpace();
    IoSpace(const IoSpace&) = delete;
    IoSpace& operator=(const IoSpace&) = delete;

    // The handler must outlive this space. Error: the range overlaps one that is there.
    Result<void> add(std::string name, uint64_t start, uint64_t size, IoHandler& handler);

    uint64_t read(uint64_t address, unsigned size);
    void write(uint64_t address, unsigned size, uint64_t value);

 private:
    struct Range;
    struct Table;
    std::unique_ptr<Table> table_;
};

}  // namespace mynah
