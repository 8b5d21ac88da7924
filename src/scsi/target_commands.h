#pragma once

#include <cstdint>
#include <span>

#include "backend/block/data_phase.h"
#include "spec/scsi/sense.h"

// What a SCSI target answers itself, not one of its logical units.
namespace mynah::scsi {

// REPORT LUNS [SPC-4 6.33]. luns: the eight bytes of each as a big-endian number, in any order.
Sense report_luns(std::span<const uint8_t> cdb, std::span<const uint64_t> luns, DataPhase& data);

// A command for a unit that is not there [SPC-4 5.8]. could_be: there may be one some day, as LUN
// 0 of a target that has other units; drivers ask that one for the list.
Sense execute_for_absent_unit(std::span<const uint8_t> cdb, bool could_be, DataPhase& data);

}  // namespace mynah::scsi
